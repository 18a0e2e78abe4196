"""What the ROIS's database says, over ODBC: who is under treatment, prescriptions, documents, treatment history.

A *query set* is a TOML file of named SQL statements (`queries`), each of which answers to a contract of columns
(`contract`). `connection` asks, `values` turns what drivers return into canonical text, `fetch` and `census` put the
answers where the rest of the vault finds them. Nothing is ever written to the database.
"""
