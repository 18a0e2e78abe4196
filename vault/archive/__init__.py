"""Normal form to history: signed, durable git repositories, one per patient, and the ledger of what was done.

Everything here is read by stock `git`, `sha256sum` and `ssh-keygen`. A commit's new objects are one pack, written
by `pack`; `bare` puts a commit on a branch (the ref moves last); `repository` adds what a patient's tree needs
(`SHA256SUMS`, the patient's ID); `ledger` keeps one JSON file per event.
"""
