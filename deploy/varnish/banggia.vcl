# Varnish in front of one price board, behind whatever ends TLS (hitch, nginx, a CDN). Start it with both parameters:
#   varnishd -a 127.0.0.1:6081,PROXY -f /etc/varnish/banggia.vcl -s malloc,128m \
#       -p http_gzip_support=off -p backend_idle_timeout=5
# With gzip support Varnish would ask for gzip only and unpack it for others, under a weak ETag; the board encodes by itself
# (identity, gzip, brotli), each with a strong one. It closes idle connections after ten seconds; Varnish must be the first.
# Tell the board: server.trusted_proxies = ["127.0.0.1"], server.public_url = "https://gia.example.vn".
# To put rows into pages of a site (ESI), see docs/EMBEDDING.md.

vcl 4.1;

import std;

backend banggia {
    .host = "127.0.0.1";
    .port = "8080";
    .connect_timeout = 1s;
    .first_byte_timeout = 10s;
    .between_bytes_timeout = 5s;
    .probe = {
        .request = "HEAD /v1 HTTP/1.1" "Host: banggia" "Connection: close";
        .interval = 2s;
        .timeout = 1s;
        .window = 3;
        .threshold = 2;
    }
}

sub vcl_recv {
    set req.backend_hint = banggia;

    # These are the operator's; the board's public listener does not have them either.
    if (req.url ~ "(?i)^/+(admin|metrics|livez|readyz|healthz)([/?]|$)") {
        return (synth(404));
    }

    # No byte depends on the host that was asked, and there is nothing to log in to.
    set req.http.Host = "banggia";
    unset req.http.Cookie;
    unset req.http.Authorization;
    # Who asks, as Varnish sees it (by the PROXY protocol: as the one who ended TLS saw it). What a reader claims is not
    # passed on: Varnish by itself would only append to it.
    set req.http.X-Forwarded-For = client.ip;
    unset req.http.Forwarded;
    unset req.http.X-Real-IP;

    # A stream is each reader's own: bytes are passed on as they come. The board says something every 20 seconds, and Varnish
    # gives up after 60 (pipe_timeout).
    if (req.method == "GET" && req.url ~ "^/v1/events([?]|$)") {
        return (pipe);
    }

    # Three kinds of readers are kept, not one for each spelling of the header.
    if (req.http.Accept-Encoding ~ "(?i)(^|,)\s*br\s*(;\s*q\s*=\s*(1|0\.0*[1-9])[^,]*)?(,|$)") {
        set req.http.Accept-Encoding = "br";
    } else if (req.http.Accept-Encoding ~ "(?i)(^|,)\s*gzip\s*(;\s*q\s*=\s*(1|0\.0*[1-9])[^,]*)?(,|$)") {
        set req.http.Accept-Encoding = "gzip";
    } else {
        unset req.http.Accept-Encoding;
    }

    # While the board is well, an old answer is only shown for as long as one may while it is asked again; once it is not,
    # or once it failed this reader (the restart below), for as long as the answer allows.
    if (req.restarts == 0 && std.healthy(req.backend_hint)) {
        set req.grace = 300s;
    }
}

sub vcl_pipe {
    # Whatever the reader sends behind the request is not looked at: it must not be a request.
    set bereq.http.Connection = "close";
}

sub vcl_hash {
    hash_data(req.url);
    return (lookup);
}

sub vcl_backend_response {
    if (beresp.status >= 500) {
        # What is kept is better than an error, and an error must not lie above it.
        if (bereq.is_bgfetch) {
            return (abandon);
        }
        set beresp.ttl = 0s;
        set beresp.grace = 0s;
        set beresp.uncacheable = true;
        return (deliver);
    }
    # Varnish knows stale-while-revalidate by itself; stale-if-error is the longer one, until the first figure expires.
    if (beresp.http.Cache-Control ~ "stale-if-error=[0-9]+") {
        if (std.duration(regsub(beresp.http.Cache-Control, "^.*stale-if-error=([0-9]+).*$", "\1s"), 0s) > beresp.grace) {
            set beresp.grace = std.duration(regsub(beresp.http.Cache-Control, "^.*stale-if-error=([0-9]+).*$", "\1s"), 0s);
        }
    }
}

sub vcl_backend_error {
    set beresp.ttl = 0s;
    set beresp.grace = 0s;
    set beresp.http.Content-Type = "text/plain; charset=utf-8";
    set beresp.http.Cache-Control = "no-store";
    set beresp.http.Retry-After = "5";
    set beresp.body = "The price board does not answer.";
    return (deliver);
}

sub vcl_deliver {
    if (resp.status >= 500 && req.restarts == 0 && (req.method == "GET" || req.method == "HEAD")) {
        return (restart);
    }
    if (obj.hits == 0) {
        set resp.http.X-Cache-Status = "MISS";
    } else if (obj.ttl < 0s) {
        set resp.http.X-Cache-Status = "STALE";
    } else {
        set resp.http.X-Cache-Status = "HIT";
    }
}
