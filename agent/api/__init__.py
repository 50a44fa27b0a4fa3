"""The desk over HTTP: :func:`agent.api.app.create_app`."""
