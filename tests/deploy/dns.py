#!/usr/bin/env python3
"""A name server that knows one answer: 127.0.0.1. Prints every name that it was asked for. usage: dns.py ADDRESS PORT"""

import socket
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
while True:
    query, client = server.recvfrom(512)
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    question, kind = query[12 : at + 5], query[at + 1 : at + 3]
    print(".".join(labels), flush=True)
    answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01" if kind == b"\0\x01" else b""
    server.sendto(query[:2] + b"\x81\x80\0\x01" + bytes([0, bool(answer), 0, 0, 0, 0]) + question + answer, client)
