-- Takes one from each allowance or from none, in a transaction of its own; how long to wait (0: taken).
select take($1, $2, $3, $4)
