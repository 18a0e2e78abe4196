"""A simulated radiation oncology department: synthetic patients, nights that change them, and a ROIS to ask for them.

Three parts, each usable alone:

- `patients` makes people whose CT, structure set, plan, dose and treatment records refer to each other as PS3.3
  asks; everything follows from a seed, so that two runs give the same bytes;
- `nights` says as data what a night adds to or replaces in the department, a tampered plan among it;
- `server` is the ROIS: a query/retrieve SCP over a folder of such objects, on loopback only.

Nothing here is a real patient, a real machine or a beam model that may be used for anything.
"""
