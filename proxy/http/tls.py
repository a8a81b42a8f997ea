"""What the proxy's HTTPS listener speaks: certificate, key and least version of TLS."""

from __future__ import annotations

import ssl
from typing import Final

from kit.config import ConfigError

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(certificate: str, key: str, *, minimum: str) -> ssl.SSLContext:
    """Return the context of a listener.

    `certificate` and `key` are paths of PEM files, the certificate first and then what signed it; an
    empty `key` means that the key is in the certificate's file. `minimum` is one of VERSIONS. Raises
    ConfigError naming the setting to mend.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[minimum]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # Said openly: clients that would rather speak HTTP/2 then ask for what is spoken here.
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key under a passphrase would have OpenSSL ask at a terminal that no daemon has.
        context.load_cert_chain(certificate, key or None, password="")
    except FileNotFoundError as error:
        missing = certificate if error.filename in (None, certificate) else error.filename
        raise ConfigError(
            f"tls.certificate or tls.key: {missing} is not there; `colonnade certificate` makes one"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"tls.certificate ({certificate}) and tls.key ({key or certificate}) are no usable pair of "
            f"PEM files without a passphrase: {error}"
        ) from error
    return context
