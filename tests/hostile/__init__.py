"""Files as an attacker, a bad disk or a careless colleague would leave them.

They are hypothesis strategies, used by the tests with few examples, and by
benchmarks/hostile_files.py with thousands.
"""
