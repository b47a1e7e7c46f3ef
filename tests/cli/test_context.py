"""Where commands find the installation."""


def test_without_a_stack_the_error_says_what_to_do(cli_without_stack):
    result = cli_without_stack("feeds", "list")
    assert result.exit_code == 1
    assert "run `sentineliq up`" in result.stderr


def test_an_installation_elsewhere_is_found_in_the_environment(cli_without_stack):
    result = cli_without_stack(
        "feeds", "list", SENTINELIQ_TOKEN="t", SENTINELIQ_FEEDS_URL="http://127.0.0.1:9"
    )
    assert result.exit_code == 1
    assert "the feeds service does not answer at http://127.0.0.1:9" in result.stderr
