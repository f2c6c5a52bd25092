"""What a config, an event, a record and a reading are: models, schemas, filters, intervals and times."""
