#!/usr/bin/env node
/** tsvmm under QEMU's name: programs that start QEMU find it here (see docs/guide/qtest.md). */
'use strict';

process.argv.splice(2, 0, 'qemu', '-architecture', 'aarch64');
require('./tsvmm.js');
