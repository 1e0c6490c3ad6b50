"""paramiko's Transport with bounds, and without its ways of getting stuck.

What is different, each found by running it against a real sshd:

* A packet's length is believed only up to 256 KiB, and a server that sends beyond the window of a
  channel ends the connection: paramiko would store whatever comes.
* stderr is drained by the transport's own thread, which keeps the last of it and opens the window
  again. Undrained, it would wedge stdout, because both share that window.
* What the transport's thread has to send during a key exchange waits until the exchange is over.
  paramiko lets the thread wait for the end of an exchange that only this very thread can end: the
  connection stalls.
* A server may not keep the thread busy with extensions without number, or with ever new keys.
* A command that was killed by a signal has an exit status, 128 + N, as a shell has it.
* The handshake's time limit needs no thread, and what a server says before it has an end.
* The other end may be another connection's channel, or a process: what takes nothing any more, or
  does not answer, is a lost connection there as well.
* AES-GCM is preferred to the others: it costs this process a third less per byte, and OpenSSH has
  it since 6.2.

Guarantee: one thread per connection, paramiko's. `_postponed`, `_asked` and `_rekeyed` belong to
that thread alone.
"""

import contextlib
import threading
import time
from socket import SHUT_RDWR
from typing import Any, ClassVar, Protocol

import paramiko
from paramiko.common import cMSG_CHANNEL_CLOSE, cMSG_CHANNEL_REQUEST, cMSG_GLOBAL_REQUEST
from paramiko.packet import Packetizer

from atex_provision.ssh.channels import HANDLERS, WINDOW, StderrTail

SILENCE = 45.0  # seconds without an answer after which a connection is lost
PROBE = 15.0  # seconds of silence after which the server is asked for an answer
ALWAYS = 1e-9  # seconds; paramiko takes 0 for never
LARGEST_PACKET = 256 << 10  # bytes; the SSH protocol asks for 35000 at least (RFC 4253, 6.1)
GREETING = 16 << 10  # bytes that a server may say before SSH begins
PACKET = 32 << 10  # bytes of data in one; what OpenSSH uses
MOST_REKEYS, REKEY_TIME = 30, 60.0  # so many key exchanges may a server begin in so many seconds
MOST_EXTENSIONS = 1000  # that a server may announce (RFC 8308); OpenSSH has 3
OPEN_TIME = 30.0  # seconds for the server to open a channel
CLOSE_TIME = 30.0  # seconds; a thread that does not end by then is left alone


class Stream(Protocol):
    """What paramiko needs of a socket, and we to end it.

    recv() and send() raise TimeoutError after the time that settimeout() sets, OSError when the
    other end is gone; shutdown() ends both at once, from any thread.
    """

    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytes | memoryview, /) -> int: ...
    def settimeout(self, seconds: float | None, /) -> None: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...


class BoundedPacketizer(Packetizer):
    """Refuses oversized packets, and times the handshake without a thread."""

    _handshake_end: float | None = None

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)  # type: ignore[arg-type]
        self._stream = stream
        self.heard = time.monotonic()
        """When the last bytes came."""

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > LARGEST_PACKET:
            raise paramiko.SSHException(f"the server announced a packet of {n} bytes")
        data = super().read_all(n, check_rekey)
        self.heard = time.monotonic()
        return data

    def start_handshake(self, timeout: float) -> None:
        self._handshake_end = time.monotonic() + timeout

    def handshake_timed_out(self) -> bool:
        return self._handshake_end is not None and time.monotonic() > self._handshake_end

    def complete_handshake(self) -> None:
        self._handshake_end = None

    def write_all(self, out: bytes) -> None:  # type: ignore[override]
        """Raises EOFError when the other end is gone, SSHException when it takes nothing any more."""
        rest = memoryview(out)
        end = time.monotonic() + SILENCE
        while rest:
            try:
                rest = rest[self._stream.send(rest) :]
                end = time.monotonic() + SILENCE
            except TimeoutError:
                if self.closed:
                    raise EOFError from None
                if time.monotonic() > end:
                    raise paramiko.SSHException(
                        f"nothing could be sent for {SILENCE:g} s"
                    ) from None
            except OSError:
                raise EOFError from None


class BoundedTransport(paramiko.Transport):
    """A paramiko.Transport with the differences that this module describes."""

    # The stubs know only what is public; these are paramiko's seams since 3.5, and tests hold each
    # of them.
    _channel_handler_table: ClassVar[dict[int, Any]] = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]
        **HANDLERS,
    }

    packetizer: BoundedPacketizer

    def __init__(self, stream: Stream) -> None:
        super().__init__(
            stream,  # type: ignore[arg-type]
            default_window_size=WINDOW,
            default_max_packet_size=PACKET,
            packetizer_class=BoundedPacketizer,
        )
        options = self.get_security_options()
        options.ciphers = sorted(options.ciphers, key=lambda cipher: "gcm" not in cipher)
        self._postponed: list[paramiko.Message] = []
        self._asked = 0.0
        self._rekeyed: list[float] = []

    def start_command(
        self, command: str, timeout: float | None = None
    ) -> tuple[paramiko.Channel, StderrTail]:
        """Opens a channel to a command.

        The server's word that it could start it is not awaited, which saves a round trip: without
        it, the channel ends. Raises TimeoutError after `timeout` seconds, if those are fewer than a
        server has for that, else SSHException, EOFError or OSError.
        """
        limit = OPEN_TIME if timeout is None else min(timeout, OPEN_TIME)
        try:
            channel = self._open_within(limit, "session")
        except TimeoutError:
            if limit < OPEN_TIME:
                raise
            raise paramiko.SSHException(f"no channel was opened in {OPEN_TIME:g} s") from None
        tail = StderrTail(channel)
        channel.in_stderr_buffer = tail  # type: ignore[assignment]
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(True)
        message.add_string(command)
        self._send_user_message(message)
        return channel, tail

    def open_tunnel(self, address: str, port: int, timeout: float) -> paramiko.Channel:
        """Opens a channel that the server connects with a port of another host.

        Raises TimeoutError when that takes longer than `timeout` seconds, else SSHException (with the server's words),
        EOFError or OSError.
        """
        return self._open_within(timeout, "direct-tcpip", (address, port), ("127.0.0.1", 0))

    def _open_within(
        self,
        timeout: float,
        kind: str,
        to: tuple[str, int] | None = None,
        origin: tuple[str, int] | None = None,
    ) -> paramiko.Channel:
        end = time.monotonic() + timeout
        try:
            return self.open_channel(kind, to, origin, timeout=timeout)
        except paramiko.ChannelException as error:
            raise paramiko.SSHException(error.text) from error
        except paramiko.SSHException:
            if self.is_active() and time.monotonic() > end:
                raise TimeoutError from None
            raise
        except (EOFError, OSError):
            raise
        except Exception as error:  # whatever ended paramiko's thread meanwhile
            raise paramiko.SSHException(f"the connection ended: {error!r}") from error

    def watch(self) -> None:
        """From now on a silent server is asked for an answer, and without one the connection ends.

        For a stream whose far end the kernel does not see.
        """
        self.sock.settimeout(PROBE)
        self.packetizer.set_keepalive(ALWAYS, self._probe)  # called whenever nothing came for PROBE

    def _probe(self) -> None:
        """Called by the transport's thread."""
        now = time.monotonic()
        silent = now - self.packetizer.heard
        if self._asked > self.packetizer.heard and silent > SILENCE:
            raise paramiko.SSHException(f"the server has not answered for {silent:.0f} s")
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")  # nobody knows it, and says so
        message.add_boolean(True)
        self._asked = now
        self._send_user_message(message)

    def _check_banner(self) -> None:
        """paramiko's reads on while anything comes."""
        self.remote_version = self._read_greeting()

    def _read_greeting(self) -> str:
        """The line of RFC 4253, 4.2; others may come before it."""
        line = bytearray()
        said = ""
        for _ in range(GREETING):
            try:
                line += self.packetizer.read_all(1)  # and nothing of what follows
            except EOFError:
                if not said:
                    raise
                raise paramiko.SSHException(f"it hung up, and said {said[:100]!r} before") from None
            if not line.endswith(b"\n"):
                continue
            text = line.decode(errors="replace").rstrip("\r\n")
            if text.startswith("SSH-"):
                if text.startswith(("SSH-2.0-", "SSH-1.99-")):
                    return text
                raise paramiko.SSHException(f"it does not speak SSH 2.0, but says {text!r}")
            said = said or text
            line.clear()
        raise paramiko.SSHException(f"no greeting of SSH, but much else; first {said[:100]!r}")

    def _parse_channel_open_success(self, m: paramiko.Message) -> None:
        """A channel for which nobody waits any more is closed; paramiko would leave it open."""
        ours, theirs = m.get_int(), m.get_int()
        if self._channels.get(ours) is None:  # type: ignore[attr-defined]
            message = paramiko.Message()
            message.add_byte(cMSG_CHANNEL_CLOSE)
            message.add_int(theirs)
            self._send_user_message(message)
            return
        m.rewind()
        super()._parse_channel_open_success(m)  # type: ignore[misc]

    def _parse_channel_open_failure(self, m: paramiko.Message) -> None:
        """paramiko keeps the number of the reason only."""
        ours, reason, words = m.get_int(), m.get_int(), m.get_text()
        with self.lock:
            opened = self.channel_events.pop(ours, None)
            if opened is not None:
                self._channels.delete(ours)  # type: ignore[attr-defined]
                self.saved_exception = paramiko.ChannelException(reason, words)
                opened.set()

    def _send_user_message(self, data: paramiko.Message) -> None:
        if threading.current_thread() is self and not self.clear_to_send.is_set():
            self._postponed.append(data)
        else:
            super()._send_user_message(data)  # type: ignore[misc]

    def _negotiate_keys(self, m: paramiko.Message) -> None:
        if self.local_kex_init is None:  # it is the server who wants it
            now = time.monotonic()
            self._rekeyed = [moment for moment in self._rekeyed if now - moment < REKEY_TIME]
            self._rekeyed.append(now)
            if len(self._rekeyed) > MOST_REKEYS:
                raise paramiko.SSHException("the server wants new keys all the time")
        super()._negotiate_keys(m)  # type: ignore[misc]

    def _parse_ext_info(self, msg: paramiko.Message) -> None:
        """paramiko counts up to the number that the server says."""
        count = msg.get_int()
        if count > MOST_EXTENSIONS:
            raise paramiko.SSHException(f"the server announced {count} extensions")
        msg.rewind()
        super()._parse_ext_info(msg)  # type: ignore[misc]

    def _parse_newkeys(self, m: paramiko.Message) -> None:
        super()._parse_newkeys(m)  # type: ignore[misc]
        postponed, self._postponed = self._postponed, []
        for message in postponed:
            self._send_user_message(message)


def close_transport(transport: paramiko.Transport) -> None:
    """Closes a connection and ends its thread. Total; any thread.

    The socket is shut down first: that wakes the thread, which then tells all who wait. After
    Transport.close() alone it would stay in its recv() until that times out.
    """
    with contextlib.suppress(OSError):
        transport.sock.shutdown(SHUT_RDWR)
    if transport.is_alive():
        transport.join(CLOSE_TIME)
    transport.close()
    transport.sock.close()
