/* SPDX-License-Identifier: MIT */
/* The machine a guest is written for. */
#ifndef TSVMM_MACHINE_H
#define TSVMM_MACHINE_H

/**
 * Options of `tsvmm run` that hold where the command line gives none: --machine, --viommu, --device, --memory, --firmware.
 *
 *	TSVMM_MACHINE("--viommu intel,svm=on --viommu smmuv3,svm=on --device dsa");
 *
 * A guest for several IOMMUs names each with the keys it wants: the first one counts, or the one that --viommu or --machine chooses.
 * One string literal, at file scope; it travels in the compiled module.
 */
#define TSVMM_MACHINE(options) __asm__(".section .custom_section.tsvmm.machine,\"\",@\n\t.ascii \"" options " \"\n\t.text")

#endif
