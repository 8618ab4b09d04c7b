-- `letter_of_person` begins with the same column. By itself: the lock of what was before has ended, so nobody who has read waits for it.
drop index letter_subject;
