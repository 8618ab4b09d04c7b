-- Who drops tickets locks them first.
grant update on ticket to :role;
