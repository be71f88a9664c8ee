"""Settings, site map, schedule and the `up` supervisor: what ties the three apps into one running product."""
