-- DuckDB: what may be counted of it: nothing of whoever was erased.
create table told as
select * from archived
where person is null or person not in (select person from archived where what = 'erased')
