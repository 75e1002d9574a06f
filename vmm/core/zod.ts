/**
 * The type of the zod namespace. zod itself is loaded only where input has to be checked (it costs as much as the rest of
 * the start-up together), so every schema in the code base is a function of it.
 */
export type Zod = typeof import('zod');
export type { ZodType } from 'zod';
