-- DuckDB: the month's file ($file) as heard up to a number ($upto).
create table archived as
select * replace (person::uuid as person) from read_parquet($file) where nr <= $upto
