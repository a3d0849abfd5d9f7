/* TCP as the outside sees it (fata/counters.h). */
#ifndef NET_TCP_TABLE_H
#define NET_TCP_TABLE_H

#include "net/tcp.h"

/* Register the counters of `tcp` and the table of its connections. */
void tcp_show(struct tcp *tcp, const char *device);

#endif
