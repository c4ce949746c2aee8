"""The Processing provider of Freshet: thin algorithms that submit the same jobs as the dialogs."""
