"""What several test modules share: commands in processes of their own, a browser, and studies."""
