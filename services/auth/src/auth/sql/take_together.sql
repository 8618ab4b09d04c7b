-- Takes one from each allowance of a request or from none, for several requests, in a transaction of its own.
select wait from take_together($1, $2, $3, $4, $5) order by request
