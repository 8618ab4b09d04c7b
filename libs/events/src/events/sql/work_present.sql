-- Says who is here, until this session ends.
select from events.be_present($1)
