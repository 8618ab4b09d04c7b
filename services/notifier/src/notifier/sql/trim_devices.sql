-- Forgets a person's oldest devices beyond twenty.
delete from device where id in (select id from device where user_id = $1 order by created_at desc offset 20)
