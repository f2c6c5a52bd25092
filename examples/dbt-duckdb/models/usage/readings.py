import metering_duck


def model(dbt, _con):
    """What each subject used in the period."""
    period = {"start": dbt.config.meta_get("start"), "end": dbt.config.meta_get("end")}
    return metering_duck.aggregate(records=dbt.ref("records"), **period)
