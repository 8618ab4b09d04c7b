-- DuckDB: what may be counted of the month's file ($file) as heard up to a number ($upto): nothing of whoever was erased.
create table told as
with heard as (select * replace (person::uuid as person) from read_parquet($file) where nr <= $upto)
select * from heard
where person is null or person not in (select person from heard where what = 'erased')
