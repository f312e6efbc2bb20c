"""failover: what holds while servers die, freeze, are cut off or fill up, each in a network of its own.

network   namespaces on a bridge, cut and healed
cluster   three PostgreSQL under Patroni, and its etcd
hosts     two hosts with ingest, a drainer and a sealer
writers   who send to either host, and note every promise and when it came
heads     every head that was ever signed, and whether they are of one log
acts      what is broken, drawn from a seed
judge     what was lost, and how long nothing was stored
"""
