"""Every error of the service, in one tree.

VoiceAgentError
├── SettingsError            settings_invalid     wrong or missing settings, all named at once
├── ProviderError            a vendor failed; carries the provider's name
│   ├── ProviderUnavailable  provider_unavailable refused, cut, 5xx                       retryable
│   ├── ProviderTimeout      provider_timeout     no progress before the deadline         retryable
│   ├── ProviderRateLimited  provider_rate_limited 429, perhaps with a time to wait       retryable
│   ├── ProviderProtocolError provider_protocol   an answer that is not of the protocol   retryable
│   │   └── WrongSound       wrong_sound          sound that is not what was asked for   retryable
│   ├── ProviderRejected     provider_rejected    401, 402, 403 ...: trying again will not help
│   │   └── ContentRejected  content_rejected     400, 422 ...: this request is refused for what is in it
│   ├── EmptyAnswer          empty_answer         a model answered without a word                 retryable
│   └── BreakerOpen          breaker_open         not asked: it failed too often just now
├── AudioError               audio_invalid        audio that cannot be read or converted
├── CallNotFound             call_not_found       no such call
├── CallStateError           the call is in the wrong state for the request
│   ├── CallAlreadyEnded     call_ended
│   ├── CallStillLive        call_live
│   └── NotATelephone        not_a_telephone      nobody can take over a caller who did not call by telephone
├── AdmissionError           a new call cannot be taken
│   ├── AtCapacity           at_capacity                                                  retryable
│   ├── DialLimitReached     dial_limit           enough calls were placed for now                retryable
│   ├── CallTaken            call_taken           the same telephone call was taken before
│   └── Draining             draining                                                     retryable
├── DestinationNotAllowed    destination_not_allowed a number that may not be called
├── DialFailed               dial_failed          a telephone that was called was not answered
├── TransferNotAllowed       transfer_not_allowed not one of those who may take callers over
├── TransferFailed           transfer_failed      the caller could not be handed over
├── WebhookInvalid           webhook_invalid      a webhook that LiveKit did not sign
├── TokenError               a media session token does not open the door
│   ├── TokenInvalid         token_invalid        unknown or expired
│   └── TokenUsed            token_used           a second socket for one session
├── InvalidRequest           invalid_request      a request with a value that cannot be used
├── KeyReused                idempotency_key_reused one key for two different requests
├── OwnershipLost            ownership_lost       another process owns the call now
└── StorageError             storage_failed       the database could not keep or give a row   retryable

``code`` is stable and for programs, ``str(error)`` is for people, ``retryable`` says whether the same request may
succeed later. No message ever holds a caller's words or number.
"""

from typing import Literal

DialFailure = Literal["busy", "declined", "no_answer", "invalid_number", "carrier_error"]
"""Why a telephone was not answered."""

TransferFailure = Literal["refused", "no_answer", "busy", "unavailable", "not_a_telephone"]
"""Why a caller could not be handed over."""


class VoiceAgentError(Exception):
    """Base of all errors of the service."""

    code = "internal"
    retryable = False


class SettingsError(VoiceAgentError):
    """Settings are missing or wrong; the message has one line per problem, each with what to do."""

    code = "settings_invalid"

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class ProviderError(VoiceAgentError):
    """A vendor failed. ``provider`` is its name: deepgram, openai, cartesia, livekit."""

    code = "provider_failed"

    def __init__(self, provider: str, message: str, *, request_id: str | None = None) -> None:
        self.provider = provider
        self.request_id = request_id
        self.is_shared = False
        """Whether several requests fail of it at once, such as all on one socket: then it is one failure."""
        self.is_counted = False
        """Whether it was counted as a failure."""
        super().__init__(f"{provider}: {message}")


class ProviderUnavailable(ProviderError):
    """The vendor could not be reached, cut the connection, or answered 5xx."""

    code = "provider_unavailable"
    retryable = True


class ProviderTimeout(ProviderError):
    """The vendor made no progress before the deadline."""

    code = "provider_timeout"
    retryable = True


class ProviderRateLimited(ProviderError):
    """The vendor answered 429; ``retry_after`` is its wish in seconds, if it gave one."""

    code = "provider_rate_limited"
    retryable = True

    def __init__(
        self, provider: str, message: str, *, retry_after: float | None = None, request_id: str | None = None
    ) -> None:
        self.retry_after = retry_after
        super().__init__(provider, message, request_id=request_id)


class ProviderProtocolError(ProviderError):
    """The vendor answered something that is not of its protocol."""

    code = "provider_protocol"
    retryable = True


class WrongSound(ProviderProtocolError):
    """What the vendor sent is not the sound that was asked for: text, a file, another rate. It is to be thrown away."""

    code = "wrong_sound"


class ProviderRejected(ProviderError):
    """The vendor refused for good: a wrong key, no credit, a wrong model, a forbidden region."""

    code = "provider_rejected"

    def __init__(
        self, provider: str, message: str, *, status: int | None = None, request_id: str | None = None
    ) -> None:
        self.status = status
        super().__init__(provider, message, request_id=request_id)


class ContentRejected(ProviderRejected):
    """The vendor works, and refuses this one request for what is in it.

    That is no outage: it does not count against the vendor, and another request may well be answered.
    """

    code = "content_rejected"


class EmptyAnswer(ProviderError):
    """The model answered without a word and without a tool."""

    code = "empty_answer"
    retryable = True


class BreakerOpen(ProviderError):
    """The vendor was not asked, because it failed too often just now."""

    code = "breaker_open"


class AudioError(VoiceAgentError):
    """Audio that cannot be read or converted: unknown format, odd length, empty."""

    code = "audio_invalid"


class CallNotFound(VoiceAgentError):
    """There is no such call."""

    code = "call_not_found"


class CallStateError(VoiceAgentError):
    """The call is in the wrong state for what was asked."""

    code = "call_state"


class CallAlreadyEnded(CallStateError):
    """The call has ended."""

    code = "call_ended"


class CallStillLive(CallStateError):
    """The call has not ended yet."""

    code = "call_live"


class NotATelephone(CallStateError):
    """The caller did not come by telephone, and so nobody can take him over."""

    code = "not_a_telephone"


class AdmissionError(VoiceAgentError):
    """A new call cannot be taken."""

    code = "not_admitted"
    retryable = True


class AtCapacity(AdmissionError):
    """All places for calls are taken."""

    code = "at_capacity"


class Draining(AdmissionError):
    """The service is stopping and takes no new calls."""

    code = "draining"


class DialLimitReached(AdmissionError):
    """As many calls were placed as may be, to that number or at all; ``retry_after`` seconds later one more may be."""

    code = "dial_limit"

    def __init__(self, message: str, *, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class CallTaken(AdmissionError):
    """The same telephone call, told of twice, was taken before."""

    code = "call_taken"
    retryable = False


class DestinationNotAllowed(VoiceAgentError):
    """The number is none of those that may be called."""

    code = "destination_not_allowed"


class DialFailed(VoiceAgentError):
    """A telephone was called, or should have been, and nobody answered.

    ``reason`` is an end reason; ``detail`` is what the network said, such as ``sip 486``.
    """

    code = "dial_failed"

    def __init__(self, reason: DialFailure, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"the call was not answered: {reason}, {detail}")


class TransferNotAllowed(VoiceAgentError):
    """Neither a name nor an address on the list of those who may take callers over."""

    code = "transfer_not_allowed"


class TransferFailed(VoiceAgentError):
    """The caller could not be handed over, and is with the agent as before.

    ``reason`` is ``refused``, ``no_answer``, ``busy``, ``unavailable`` (nothing was tried, or it got lost) or
    ``not_a_telephone``.
    """

    code = "transfer_failed"

    def __init__(self, reason: TransferFailure) -> None:
        self.reason = reason
        super().__init__(f"the caller was not handed over: {reason}")


class WebhookInvalid(VoiceAgentError):
    """A webhook whose signature does not hold."""

    code = "webhook_invalid"


class TokenError(VoiceAgentError):
    """A media session token does not open the door."""

    code = "token"


class TokenInvalid(TokenError):
    """The token is unknown, of another call, or has expired."""

    code = "token_invalid"


class TokenUsed(TokenError):
    """The token has opened a socket already."""

    code = "token_used"


class InvalidRequest(VoiceAgentError):
    """A request holds a value that cannot be used."""

    code = "invalid_request"


class KeyReused(VoiceAgentError):
    """An idempotency key came with another request before."""

    code = "idempotency_key_reused"


class OwnershipLost(VoiceAgentError):
    """Another process owns the call now; this one must stop."""

    code = "ownership_lost"


class StorageError(VoiceAgentError):
    """The database could not keep or give a row."""

    code = "storage_failed"
    retryable = True
