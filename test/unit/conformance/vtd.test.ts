import { conformance } from '../../conformance/suite.ts';

conformance('VT-d');
