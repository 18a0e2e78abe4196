"""Does this night look like an attack? Measures over all patients of a run, held against thresholds and past nights.

A finding says what happened to one object; a measure says what happened to the department. `tally` counts, in the
process that committed a patient, what of the patient's night could be part of one; `measures` adds the patients up;
`baseline` knows what past nights were like. None of it holds a name, an ID or a UID, so all of it can go into the
ledger.
"""
