-- An address that comes anew is nobody's any more; so are a person's oldest devices beyond 19.
delete from device where address = $2 or id in (
    select id from device where user_id = $1 order by created_at desc offset 19
)
