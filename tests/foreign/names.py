"""Questions of dnspython to one DNS server: `names.py ADDRESS PORT`, a JSON list on standard input, what came of each on standard
output. A question is a name, a kind, and, if wanted, `subnet` (RFC 7871) and `tcp`."""

import json
import sys

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode


def ask(address, port, question):
    options = []
    if "subnet" in question:
        network, bits = question["subnet"].split("/")
        options = [dns.edns.ECSOption(network, int(bits))]
    message = dns.message.make_query(question["name"], question["kind"], use_edns=0, options=options)
    send = dns.query.tcp if question.get("tcp") else dns.query.udp
    answer = send(message, address, timeout=10, port=port)
    subnets = [option for option in answer.options if isinstance(option, dns.edns.ECSOption)]
    return {
        "code": dns.rcode.to_text(answer.rcode()),
        "authoritative": bool(answer.flags & dns.flags.AA),
        "answers": sorted(str(record) for records in answer.answer for record in records),
        "kinds": sorted({dns.rdatatype.to_text(records.rdtype) for records in answer.answer}),
        "ttl": min((records.ttl for records in answer.answer), default=None),
        "authority": [dns.rdatatype.to_text(records.rdtype) for records in answer.authority],
        "subnet": [[s.srclen, s.scopelen] for s in subnets],
    }


address, port = sys.argv[1], int(sys.argv[2])
print(json.dumps([ask(address, port, question) for question in json.load(sys.stdin)]))
