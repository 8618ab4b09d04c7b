-- What a peer has stored, and what it did about it since.
select
    (select count(*) from todo) as todos,
    (select count(*) from activity) as activities,
    (select count(*) from otp_code) as codes
