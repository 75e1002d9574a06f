/** Something that a specification defines, or that users of such a tool expect, and that tsvmm does not do. */
export interface Limit {
  /** Kebab-case, with the room in front: `pci-hot-plug`. */
  readonly id: string;
  /** What is missing, and what happens instead. */
  readonly what: string;
  /** `document: section title`, or what sets the expectation. */
  readonly cite: string;
}
