"""Why a document is not taken, in the confined process, which starts faster without what our API's errors need."""


class RefusalError(Exception):
    """An error of the API, yet to be made one."""

    def __init__(self, status: int, message: str, code: str) -> None:
        """As of `ApiError`."""
        super().__init__(message)
        self.status = status
        self.code = code
