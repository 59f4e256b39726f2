"""Federation: Flower carries sealed letters between sites; what they say, sites decide.

relay        the client's end: a letter to the site's socket, its answer back
wire         letters inside Flower's messages
aggregation  answers opened by the aggregating site, averaged by a Flower strategy
rounds       a run: rounds, quorum, checkpoints, resume
local_grid   all of it in one process
processes    SuperLink and SuperNodes with TLS and registered keys
finetune_app the Flower app, as it is sent to nodes
"""
