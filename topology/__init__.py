"""What runs where and who may call whom: pure data and pure functions, without Pulumi.

`catalog` holds the service table, `graph` answers questions about it, `network` gives every pod its addresses,
`images` and `secrets` are the tables of their names. Everything else in the project is derived from here.
"""
