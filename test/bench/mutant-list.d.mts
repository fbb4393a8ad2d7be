/** name, file, the code as it is, the code broken, the tests that must fail. */
export declare const MUTANTS: readonly (readonly [string, string, string, string, string])[];
