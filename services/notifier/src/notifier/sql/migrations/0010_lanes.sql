-- Which provider a delivery is for: each has workers of its own. It says who takes the delivery, not where that goes, so
-- the default does no harm: it is for writers of before this column, while they are replaced.
alter table delivery add column service text not null default 'fcm' check (service in ('fcm', 'web', 'sms'));
update delivery set service = 'sms' where channel = 'sms';
update delivery w set service = d.service from device d where w.channel = 'push' and d.id = w.device_id and d.service <> 'fcm';

drop index delivery_turn;
create index delivery_turn on delivery (service, (kind <> 'phone_code'), due_at) where state = 'queued';
