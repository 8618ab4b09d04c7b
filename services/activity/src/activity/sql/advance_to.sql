-- What a build ($1) has in it, up to a number ($2).
update projections.build set position = $2 where id = $1
