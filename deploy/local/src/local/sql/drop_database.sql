-- A database that nobody needs any more, with whoever is connected to it.
drop database if exists :"name" with (force);
