-- The archive's last number.
select last_number from archive_counter
