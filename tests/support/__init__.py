"""What tests share: waiting without sleeping."""
