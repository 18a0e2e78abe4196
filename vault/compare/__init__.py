"""History to changes: what differs between two commits of a patient, in the words of the field.

`lines` compares two normal forms; `diff` applies it to two commits; `titles` names an object as a physicist would;
`text` and `document` show the result to people and to programs.
"""
