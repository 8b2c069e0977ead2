"""Log tables in monthly partitions (PostgreSQL), so that an old month goes in a moment and costs nobody anything.

Only what is a log is partitioned: requests with their answers, and tries at telling apps. What money, duties or the
audit chain rest on stays in one table each, for good. On SQLite the same tables are plain ones.

A partitioned table cannot have a unique key without its partition's column. Nothing refers to a row of a log, so the
whole has none: each partition has its own primary key on `id`, and one sequence gives the ids of all of them.
"""
