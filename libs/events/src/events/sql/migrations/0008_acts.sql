-- What else an operator has done: a consumer set back, a tail that a log lost copied back into it, a stream's other history given
-- up. An act of a feed's two copies is kept in its log's database, `consumer` being the service there.
alter table events.act
    drop constraint act_what_check,
    add constraint act_what_check check (what in ('redrive', 'discard', 'rewind', 'import', 'abandon'));
-- What is heard again is tried again, also what was given up there.
grant delete on events.discarded to :role;
