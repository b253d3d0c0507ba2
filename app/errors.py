"""Every error of the service, in one tree.

VoiceAgentError
├── SettingsError            settings_invalid     wrong or missing settings, all named at once
├── ProviderError            a vendor failed; carries the provider's name
│   ├── ProviderUnavailable  provider_unavailable connection refused or lost, 5xx         retryable
│   ├── ProviderTimeout      provider_timeout     no progress before the deadline         retryable
│   ├── ProviderRateLimited  provider_rate_limited 429, sometimes with Retry-After        retryable
│   │   └── Throttled        throttled            not sent: its limit is used up          retryable
│   ├── ProviderProtocolError provider_protocol   an answer that breaks the protocol      retryable
│   │   └── WrongSound       wrong_sound          audio that is not what was requested    retryable
│   ├── ProviderRejected     provider_rejected    401, 402, 403 ...: a retry will not help
│   │   └── ContentRejected  content_rejected     400, 422 ...: refused for its content
│   ├── EmptyAnswer          empty_answer         the model answered without any text     retryable
│   └── BreakerOpen          breaker_open         not sent: the vendor failed too often just now
├── CallNotFound             call_not_found       no such call
├── CallStateError           the call is in the wrong state for the request
│   ├── CallAlreadyEnded     call_ended
│   ├── CallStillLive        call_live
│   ├── NotRecorded          not_recorded         nobody can listen in on a call that is not recorded
│   └── NotATelephone        not_a_telephone      only a telephone call can be transferred
├── AdmissionError           a new call is not accepted
│   ├── AtCapacity           at_capacity                                                  retryable
│   ├── DialLimitReached     dial_limit           enough calls were placed for now        retryable
│   ├── SimulatedCallLimit   simulated_call_limit enough simulated calls are live         retryable
│   ├── SpendingLimitReached spending_limit       the day's calls may cost no more        retryable
│   ├── CallTaken            call_taken           this telephone call is already answered
│   ├── CallRejected         rejected_policy      the agent's lookup says not to take it
│   ├── Draining             draining                                                     retryable
│   ├── ServicePaused        paused               an operator lets no new calls in         retryable
│   └── OutboundStopped      outbound_stopped     an operator lets nobody be called        retryable
├── SimulatedCallFailed      simulated_call_failed a simulated caller could not call
├── DestinationNotAllowed    destination_not_allowed a number that may not be called
│   ├── OnDoNotCallList      do_not_call          its owner wants no more calls
│   └── OutsideHours         outside_hours        it may not be called at this time of day there
├── NumberNotListed          number_not_listed    a number that is not on the do-not-call list
├── DialFailed               dial_failed          the called telephone did not answer
├── TransferNotAllowed       transfer_not_allowed the target is not on the list
├── TransferFailed           transfer_failed      the caller could not be transferred
├── WebhookInvalid           webhook_invalid      a webhook that LiveKit did not sign
├── TokenError               a media session token that is not accepted
│   ├── TokenInvalid         token_invalid        unknown or expired
│   └── TokenUsed            token_used           a second socket for one session
├── InvalidRequest           invalid_request      a request with an invalid value
├── KeyNotAllowed            key_not_allowed      a key without the scope that the request needs
├── KeyReused                idempotency_key_reused one key for two different requests
├── OwnershipLost            ownership_lost       another process owns the call now
└── StorageError             storage_failed       the database could not write or read a row  retryable

``code`` is stable and for programs. ``str(error)`` is for people. ``retryable`` says whether the same request may
succeed later. No message ever contains a caller's words or number.
"""

from collections.abc import Mapping
from typing import Any, Literal

DialFailure = Literal["busy", "declined", "no_answer", "invalid_number", "carrier_error"]
"""Why a telephone was not answered."""

TransferFailure = Literal["refused", "no_answer", "busy", "unavailable", "not_a_telephone"]
"""Why a caller could not be transferred."""


class VoiceAgentError(Exception):
    """Base of all errors of the service."""

    code = "internal"
    retryable = False


class SettingsError(VoiceAgentError):
    """Settings are missing or wrong. The message has one line per problem, each with what to do."""

    code = "settings_invalid"

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class ProviderError(VoiceAgentError):
    """A vendor failed. ``provider`` is its name, as its client gives it."""

    code = "provider_failed"

    def __init__(self, provider: str, message: str, *, request_id: str | None = None) -> None:
        self.provider = provider
        self.reason = message
        """What happened, for people; the vendor's own words where it gave any."""
        self.request_id = request_id
        """The vendor's id of the request, if it is known."""
        self.is_shared = False
        """Whether one failure hits several requests, such as all on one socket. The breaker counts it once."""
        self.is_counted = False
        """Whether the breaker has counted it."""
        super().__init__(f"{provider}: {message}")


class ProviderUnavailable(ProviderError):
    """The vendor could not be reached, dropped the connection, or answered 5xx."""

    code = "provider_unavailable"
    retryable = True


class ProviderTimeout(ProviderError):
    """The vendor made no progress before the deadline."""

    code = "provider_timeout"
    retryable = True


class ProviderRateLimited(ProviderError):
    """The vendor answered 429. ``retry_after`` is in seconds, None if the vendor sent none."""

    code = "provider_rate_limited"
    retryable = True

    def __init__(
        self, provider: str, message: str, *, retry_after: float | None = None, request_id: str | None = None
    ) -> None:
        self.retry_after = retry_after
        super().__init__(provider, message, request_id=request_id)


class Throttled(ProviderRateLimited):
    """The request was not sent, because the vendor's limit is used up. That says nothing of the vendor's health."""

    code = "throttled"


class ProviderProtocolError(ProviderError):
    """The vendor sent something that breaks its protocol."""

    code = "provider_protocol"
    retryable = True


class WrongSound(ProviderProtocolError):
    """The vendor sent other audio than requested: text, a file, another sample rate. It must be thrown away."""

    code = "wrong_sound"


class ProviderRejected(ProviderError):
    """The vendor refused, and a retry will not help: a wrong key, no credit, a wrong model, a blocked region."""

    code = "provider_rejected"

    def __init__(
        self, provider: str, message: str, *, status: int | None = None, request_id: str | None = None
    ) -> None:
        self.status = status
        super().__init__(provider, message, request_id=request_id)


class ContentRejected(ProviderRejected):
    """The vendor works, but refuses this request for its content.

    It is not an outage: it does not count against the vendor, and the next request may well succeed.
    """

    code = "content_rejected"


class EmptyAnswer(ProviderError):
    """The model answered with neither text nor a tool call."""

    code = "empty_answer"
    retryable = True


class BreakerOpen(ProviderError):
    """The request was not sent, because the vendor failed too often just now."""

    code = "breaker_open"


class CallNotFound(VoiceAgentError):
    """There is no such call."""

    code = "call_not_found"


class CallStateError(VoiceAgentError):
    """The call is in the wrong state for the request."""

    code = "call_state"


class CallAlreadyEnded(CallStateError):
    """The call has ended."""

    code = "call_ended"


class CallStillLive(CallStateError):
    """The call has not ended yet."""

    code = "call_live"


class NotRecorded(CallStateError):
    """The call is not recorded."""

    code = "not_recorded"


class NotATelephone(CallStateError):
    """The caller did not come by telephone, so the call cannot be transferred."""

    code = "not_a_telephone"


class AdmissionError(VoiceAgentError):
    """A new call is not accepted."""

    code = "not_admitted"
    retryable = True


class AtCapacity(AdmissionError):
    """All places for calls are taken."""

    code = "at_capacity"


class Draining(AdmissionError):
    """The service is stopping and takes no new calls."""

    code = "draining"


class DialLimitReached(AdmissionError):
    """The limit of outbound calls is reached, for that number or in total. Try again after ``retry_after`` seconds."""

    code = "dial_limit"

    def __init__(self, message: str, *, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class SimulatedCallLimit(AdmissionError):
    """As many simulated calls are live as there may be."""

    code = "simulated_call_limit"


class SpendingLimitReached(AdmissionError):
    """The calls of the day may cost no more. The limit is renewed after ``retry_after`` seconds."""

    code = "spending_limit"

    def __init__(self, message: str, *, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class CallTaken(AdmissionError):
    """This telephone call is already answered: LiveKit announced it twice."""

    code = "call_taken"
    retryable = False


class CallRejected(AdmissionError):
    """The agent's lookup says not to take this call."""

    code = "rejected_policy"
    retryable = False

    def __init__(self, message: str, row: Mapping[str, Any] | None = None) -> None:
        """``row``: the data of the call's row ``lookup.finished``."""
        super().__init__(message)
        self.row = dict(row or {})


class SimulatedCallFailed(VoiceAgentError):
    """A simulated caller could not call, or the call did not go as its score says."""

    code = "simulated_call_failed"


class ServicePaused(AdmissionError):
    """An operator has paused the service."""

    code = "paused"
    retryable = True


class OutboundStopped(AdmissionError):
    """An operator has stopped outbound calls."""

    code = "outbound_stopped"
    retryable = True


class DestinationNotAllowed(VoiceAgentError):
    """The number may not be called."""

    code = "destination_not_allowed"


class OnDoNotCallList(DestinationNotAllowed):
    """The number is on the do-not-call list."""

    code = "do_not_call"


class OutsideHours(DestinationNotAllowed):
    """The agent may not call that number at this time of day."""

    code = "outside_hours"


class NumberNotListed(VoiceAgentError):
    """The number is not on the do-not-call list."""

    code = "number_not_listed"


class DialFailed(VoiceAgentError):
    """The called telephone did not answer, or could not be dialled at all.

    ``reason`` is an end reason. ``detail`` is what the network answered, such as ``sip 486``.
    """

    code = "dial_failed"

    def __init__(self, reason: DialFailure, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"the call was not answered: {reason}, {detail}")


class TransferNotAllowed(VoiceAgentError):
    """The target is neither a name nor an address on the list of transfer targets."""

    code = "transfer_not_allowed"


class TransferFailed(VoiceAgentError):
    """The caller could not be transferred and is still with the agent.

    ``reason`` is ``refused``, ``no_answer``, ``busy``, ``unavailable`` (nothing was tried, or its outcome is unknown)
    or ``not_a_telephone``.
    """

    code = "transfer_failed"

    def __init__(self, reason: TransferFailure) -> None:
        self.reason = reason
        super().__init__(f"the caller was not transferred: {reason}")


class WebhookInvalid(VoiceAgentError):
    """A webhook with an invalid signature."""

    code = "webhook_invalid"


class TokenError(VoiceAgentError):
    """A media session token that is not accepted."""

    code = "token"


class TokenInvalid(TokenError):
    """The token is unknown, belongs to another call, or has expired."""

    code = "token_invalid"


class TokenUsed(TokenError):
    """The token has already opened a socket."""

    code = "token_used"


class InvalidRequest(VoiceAgentError):
    """A request has an invalid value."""

    code = "invalid_request"


class KeyNotAllowed(VoiceAgentError):
    """The key is known, but may not do that."""

    code = "key_not_allowed"


class KeyReused(VoiceAgentError):
    """The idempotency key was used for a different request before."""

    code = "idempotency_key_reused"


class OwnershipLost(VoiceAgentError):
    """Another process owns the call now. This one must stop."""

    code = "ownership_lost"


class StorageError(VoiceAgentError):
    """The database could not write or read a row."""

    code = "storage_failed"
    retryable = True
