import { conformance } from '../../conformance/suite.ts';

conformance('SMMUv3');
