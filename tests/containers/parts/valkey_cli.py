#!/usr/bin/env python3
"""Sends a command to Valkey on this machine, and prints the reply: what the health check needs."""

import os
import socket
import sys

with socket.create_connection(("127.0.0.1", 6379), timeout=4) as connection:
    words = " ".join(sys.argv[1:])
    connection.sendall(f"AUTH {os.environ['VALKEYCLI_AUTH']}\r\n{words}\r\nQUIT\r\n".encode())
    while reply := connection.recv(1 << 12):
        sys.stdout.write(reply.decode())
